// Passes every array on, with its metadata.
#include <dora-node-api.h>

#include <iostream>

int main() {
    try {
        const DoraNode node = init_dora_node();
        for (auto event = node.events->next(); event_type(event) != DoraEventType::AllInputsClosed;
             event = node.events->next()) {
            if (event_type(event) == DoraEventType::Input) {
                const auto metadata = event_metadata(event);
                auto array = dora::ArrowPair::of(std::move(event));
                const DoraResult sent = send_arrow_output(node.send_output, "array", array, metadata);
                if (!sent.error.empty()) {
                    throw rust::Error(sent.error);
                }
            }
        }
    } catch (const std::exception &error) {
        std::cerr << error.what() << "\n";
        return 1;
    }
}
