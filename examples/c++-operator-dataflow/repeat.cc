// Prints each line twice. What goes wrong is thrown.
#include "operator_api.hpp"

#include <iostream>
#include <stdexcept>

class Operator {
public:
    int lines = 0;
};

std::unique_ptr<Operator> new_operator() {
    return std::make_unique<Operator>();
}

DoraOnInputResult on_input(Operator &op, dora::Str, dora::Slice<const uint8_t> data, OutputSender &sender) {
    if (sender.input_type() != DORA_TYPE_UINT8) {
        throw std::runtime_error("a line is bytes");
    }
    const std::string line(data.begin(), data.end());
    op.lines += 1;
    std::cout << line << ", " << line << std::endl;
    return {};
}

DoraOnInputResult on_input_closed(Operator &op, dora::Str id, OutputSender &) {
    std::cout << id << " is closed after " << op.lines << " lines" << std::endl;
    return {};
}

DORA_EXPORT_OPERATOR();
