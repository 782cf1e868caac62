// Asks the server for ten squares, one per tick, and sends their sum so far to the sink. On the C++ API.
#include <dora-node-api.h>

#include <iostream>

namespace {

/// The square of a number, from the server.
std::int64_t square(const DoraNode &node, std::uint8_t number) {
    const std::uint8_t bytes[] = {number};
    const DoraRequestId request = send_service_request(node.send_output, "request", {bytes, 1}, new_metadata());
    if (!request.error.empty()) {
        throw rust::Error("cannot send: " + request.error);
    }
    // What else happens meanwhile, such as the next tick, comes later.
    const DoraPatternResult reply = recv_service_response(node.events, request.request_id, "server", 10000);
    if (reply.status != DoraPatternStatus::Matched) {
        throw rust::Error("no reply: " + reply.error);
    }
    return event_values<std::int64_t>(reply.event)[0];
}

void run() {
    const DoraNode node = init_dora_node();
    std::int64_t sum = 0;
    for (std::uint8_t number = 1; number <= 10;) {
        const auto event = node.events->next();
        switch (event_type(event)) {
        case DoraEventType::Input:
            // Only ticks come here: responses are taken above.
            sum += square(node, number);
            {
                auto metadata = new_metadata();
                metadata->set_int("numbers", number);
                const auto sent = send_values<std::int64_t>(node.send_output, "sum", {&sum, 1}, metadata);
                if (!sent.error.empty()) {
                    throw rust::Error("cannot send: " + sent.error);
                }
            }
            number++;
            break;
        case DoraEventType::Stop:
        case DoraEventType::AllInputsClosed:
            return;
        default:
            break;
        }
    }
    log_message(node.send_output, "info", "asked for all squares");
}

} // namespace

int main() {
    try {
        run();
    } catch (const std::exception &error) {
        std::cerr << "client: " << error.what() << "\n";
        return 1;
    }
}
