// Sends a line per tick.
#pragma once

#include <cstdint>
#include <memory>

#include "dora-operator-api.h"

class Operator {
public:
    unsigned char counter = 0;
};

std::unique_ptr<Operator> new_operator();

DoraOnInputResult on_input(Operator &op, rust::Str id, rust::Slice<const uint8_t> data, OutputSender &output_sender);
DoraOnInputResult on_stop(Operator &op, OutputSender &output_sender);
