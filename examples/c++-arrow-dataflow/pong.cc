// Sends every array back with its values doubled.
#include "arrays.h"

#include <iostream>

int main() {
    try {
        const DoraNode node = init_dora_node();
        for (;;) {
            auto event = node.events->next();
            if (event_type(event) == DoraEventType::AllInputsClosed) {
                return 0;
            }
            if (event_type(event) != DoraEventType::Input) {
                continue;
            }
            auto numbers = numbers_of(std::move(event));
            for (double &number : numbers) {
                number *= 2;
            }
            const DoraResult result = send_numbers(node, "doubled", numbers);
            if (!result.error.empty()) {
                throw rust::Error(result.error);
            }
        }
    } catch (const std::exception &error) {
        std::cerr << "pong: " << error.what() << "\n";
        return 1;
    }
}
