// Prints the sums, all that are there at a time. On the C++ API.
#include <dora-node-api.h>

#include <iostream>

namespace {

/// False at the end.
bool take(rust::Box<DoraEvent> event) {
    switch (event_type(event)) {
    case DoraEventType::Input: {
        const auto values = event_values<std::int64_t>(event);
        const auto metadata = event_metadata(event);
        std::cout << "sum of " << metadata->get_int("numbers") << " squares: " << values[0] << std::endl;
        return true;
    }
    case DoraEventType::InputClosed:
        std::cout << event_id(event) << " was closed" << std::endl;
        return true;
    case DoraEventType::Error:
        throw rust::Error(event_error(event));
    default:
        return event_type(event) != DoraEventType::AllInputsClosed;
    }
}

} // namespace

int main() {
    try {
        const DoraNode node = init_dora_node();
        std::cout << "this is " << dora::node_id(node.send_output) << std::endl;
        while (take(next_event_timeout(node.events, 1000))) {
            auto more = drain_events(node.events);
            while (drained_events_len(more) > 0) {
                take(drained_events_next(more));
            }
        }
    } catch (const std::exception &error) {
        std::cerr << "sink: " << error.what() << "\n";
        return 1;
    }
}
