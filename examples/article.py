"""The article's experiment: is a GPT's vector of a question closest to that of its own answer?"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the repository, wherever this is started from

from demo import Lab

questions = ["Where is the headquarter of OpenAI?", "What is GPU?"]
answers = [
    "OpenAI is based at San Francisco.",
    "A graphics processing unit (GPU) is an electronic circuit that can perform mathematical calculations quickly",
]

comparison = Lab().compare(questions, answers)
for question, row in zip(questions, comparison.similarity, strict=True):
    for answer, result in zip(answers, row, strict=True):
        print(f"question: {question} and ans: {answer}")
        print(f"result: {result:.4f}")
