"""Reads a request as JSON from standard input, and writes the specification to standard output."""

import json
import sys

from deploy.kubeflow.specification import Request, compiled

if __name__ == "__main__":
    sys.stdout.write(compiled(Request(**json.load(sys.stdin))))
