#!/usr/bin/env python3
"""Makes build/venv with tests/requirements.txt in it, when it is not there or older; prints its python."""
import hashlib
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def ensure(venv=ROOT / "build" / "venv"):
    wanted = ROOT / "tests" / "requirements.txt"
    stamp, python = venv / "requirements.sha256", venv / "bin" / "python"
    digest = hashlib.sha256(wanted.read_bytes()).hexdigest()
    if not (python.exists() and stamp.exists() and stamp.read_text() == digest):
        subprocess.run(["/usr/bin/python3", "-m", "venv", str(venv)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", "-r", str(wanted)], check=True)
        stamp.write_text(digest)
    return python


if __name__ == "__main__":
    try:
        print(ensure())
    except subprocess.CalledProcessError as e:
        sys.exit(f"venv: {e}")
