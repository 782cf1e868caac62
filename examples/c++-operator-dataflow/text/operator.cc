#include "operator.h"

#include <iostream>
#include <string>

std::unique_ptr<Operator> new_operator() {
    return std::make_unique<Operator>();
}

DoraOnInputResult on_input(Operator &op, rust::Str id, rust::Slice<const uint8_t>, OutputSender &output_sender) {
    op.counter += 1;
    const std::string line = std::string(id) + " " + std::to_string(op.counter);
    const rust::Slice<const uint8_t> bytes(reinterpret_cast<const uint8_t *>(line.data()), line.size());
    const auto sent = send_output(output_sender, "line", bytes);
    return {sent.error, op.counter == 10};
}

DoraOnInputResult on_stop(Operator &op, OutputSender &) {
    std::cout << "stopped after " << static_cast<int>(op.counter) << " lines" << std::endl;
    return {};
}
