"""Puts the chunks of each segment together again."""

from dora import Node


def main():
    node = Node()
    words = []
    segment = None
    for event in node:
        if event["type"] == "INPUT":
            chunk = event["metadata"]
            if chunk["flush"]:
                print(f"segment {segment} was interrupted")
                words = []
            segment = chunk["segment_id"]
            assert chunk["seq"] == len(words), f"chunk {chunk['seq']} came after {len(words)} chunks"
            words.append(event["value"][0].as_py())
            if chunk["fin"]:
                print(f"segment {segment} is complete: {' '.join(words)}")
                words = []
        elif event["type"] == "STOP":
            break


main()
