// A node that counts: sends the number of ticks so far on every tick, until the dataflow stops.
#include <dora-node-api.h>

#include <iostream>

int main() {
    try {
        const DoraNode node = init_dora_node();
        std::uint64_t ticks = 0;
        for (;;) {
            const auto event = node.events->next();
            const auto type = event_type(event);
            if (type == DoraEventType::AllInputsClosed) {
                break;
            }
            if (type == DoraEventType::Input) {
                ticks++;
                const auto sent =
                    send_values<std::uint64_t>(node.send_output, "count", {&ticks, 1}, event_metadata(event));
                if (!sent.error.empty()) {
                    std::cerr << "cannot send: " << sent.error << "\n";
                }
            } else if (type != DoraEventType::Stop) {
                std::cerr << "unexpected event of type " << static_cast<int>(type) << "\n";
            }
        }
        std::cout << "counted " << ticks << " ticks\n";
    } catch (const std::exception &error) {
        std::cerr << error.what() << "\n";
        return 1;
    }
}
