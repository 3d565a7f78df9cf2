"""Entry point of the web app (demo/app.py), and a Space's app_file.

python app.py --port 8000 --model all-minilm-l6-v2
"""

import sys

from demo.app import main
from demo.jobs.leave import leave

if __name__ == "__main__":
    leave(main(sys.argv[1:]))
