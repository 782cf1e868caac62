// Sends an array per tick, each one longer than the last, and compares what comes back.
#include "arrays.h"

#include <iostream>

namespace {

constexpr std::size_t ROUNDS = 8;

/// Numbers of a round.
std::vector<double> numbers(std::size_t round) {
    std::vector<double> numbers;
    for (std::size_t n = 0; n < round * 100; n++) {
        numbers.push_back(static_cast<double>(n) * 0.5);
    }
    return numbers;
}

void run() {
    const DoraNode node = init_dora_node();
    std::size_t sent = 0;
    std::size_t back = 0;
    while (back < ROUNDS) {
        auto event = node.events->next();
        if (event_type(event) != DoraEventType::Input) {
            throw rust::Error("the dataflow ended after " + std::to_string(back) + " rounds");
        }
        if (event_id(event) == "tick") {
            if (sent < ROUNDS) {
                const DoraResult result = send_numbers(node, "numbers", numbers(++sent));
                if (!result.error.empty()) {
                    throw rust::Error(result.error);
                }
            }
            continue;
        }
        auto expected = numbers(++back);
        for (double &number : expected) {
            number *= 2;
        }
        const auto doubled = numbers_of(std::move(event));
        if (doubled != expected) {
            throw rust::Error("round " + std::to_string(back) + " came back different");
        }
        std::cout << "round " << back << ": " << doubled.size() << " doubles" << std::endl;
    }
}

} // namespace

int main() {
    try {
        run();
    } catch (const std::exception &error) {
        std::cerr << "ping: " << error.what() << "\n";
        return 1;
    }
}
