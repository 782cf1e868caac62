// Says hello on every tick, until the dataflow stops.
#include <dora-node-api.h>

#include <iostream>

int main() {
    try {
        const DoraNode node = init_dora_node();
        const std::string name = dora::node_id(node.send_output);
        unsigned said = 0;
        for (;;) {
            const auto event = node.events->next();
            if (event_type(event) == DoraEventType::AllInputsClosed) {
                return 0;
            }
            if (event_type(event) == DoraEventType::Input) {
                const std::string text = "hello " + std::to_string(++said) + " from " + name;
                const auto sent = send_text(node.send_output, "speech", text, event_metadata(event));
                if (!sent.error.empty()) {
                    std::cerr << "cannot send: " << sent.error << "\n";
                }
            }
        }
    } catch (const std::exception &error) {
        std::cerr << error.what() << "\n";
        return 1;
    }
}
