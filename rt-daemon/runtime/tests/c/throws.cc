// Fails by an exception, in the way that the name of the input says.
#include "operator_api.hpp"

#include <stdexcept>

class Operator {};

std::unique_ptr<Operator> new_operator() {
    return std::make_unique<Operator>();
}

DoraOnInputResult on_input(Operator &, dora::Str id, dora::Slice<const uint8_t>, OutputSender &) {
    if (id == "error") {
        return {"an error in its own words", false};
    }
    if (id == "number") {
        throw 42;
    }
    throw std::runtime_error("an exception in its own words");
}

DORA_EXPORT_OPERATOR();
