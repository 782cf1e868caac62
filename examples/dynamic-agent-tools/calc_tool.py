"""A tool that calculates: numbers, `+ - * /` and brackets."""

import ast
import json
import operator

import pyarrow as pa
from dora import Node

OPERATORS = {ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.Div: operator.truediv}


def calculate(tree):
    """The value of an expression; nothing else is ever evaluated."""
    if isinstance(tree, ast.BinOp) and type(tree.op) in OPERATORS:
        return OPERATORS[type(tree.op)](calculate(tree.left), calculate(tree.right))
    if isinstance(tree, ast.UnaryOp) and isinstance(tree.op, ast.USub):
        return -calculate(tree.operand)
    if isinstance(tree, ast.Constant) and type(tree.value) in (int, float):
        return tree.value
    raise ValueError("only numbers, + - * / and brackets")


def answer(text):
    """What the agent is told; also what is wrong with its request."""
    try:
        return f"{text} = {calculate(ast.parse(text, mode='eval').body)}"
    except (SyntaxError, ValueError, ArithmeticError, RecursionError, MemoryError) as error:
        return f"cannot calculate `{text}`: {error}"


def main():
    node = Node()
    print("calculates")
    for event in node:
        # Whichever input it is: it does not exist yet when this node starts.
        if event["type"] == "INPUT":
            request = json.loads(event["value"][0].as_py())
            if request["tool"] == "calc":
                node.send_service_response("response", pa.array([answer(request["argument"])]), event["metadata"])
        elif event["type"] == "STOP":
            break


if __name__ == "__main__":
    main()
