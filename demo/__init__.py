"""Are GPTs good embedding models? The public Python API, and nothing else.

from demo import Lab
lab = Lab()
lab.compare(["What is GPU?"], ["A graphics processor."]).similarity
"""

from demo.domain.datamodels import Comparison, Metrics, Pooling, Prompt, Reading
from demo.domain.errors import DemoError
from demo.lab import Lab
from demo.settings import Settings

__all__ = ["Comparison", "DemoError", "Lab", "Metrics", "Pooling", "Prompt", "Reading", "Settings"]
