"""Says something in every way that there is, three times."""

import logging

from dora import Node


def main():
    node = Node()  # from here on `logging` goes to dora
    logger = logging.getLogger("talker.motor")
    logging.getLogger().setLevel(logging.DEBUG)
    turn = 0
    for event in node:
        if event["type"] == "INPUT":
            turn += 1
            print(f"round {turn}: printed")
            logger.info("round %d: by way of logging", turn)
            node.log_info(f"round {turn}: by way of the node")
            if turn == 2:
                logger.debug("a detail")
                logger.warning("motor at %d degrees", 81)
                node.log("error", "motor too hot", target="motor", fields={"degrees": "95"})
            if turn == 3:
                break
        elif event["type"] == "STOP":
            break


main()
