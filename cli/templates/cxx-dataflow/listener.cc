// Prints what is said, until nobody says anything any more.
#include <dora-node-api.h>

#include <iostream>

int main() {
    try {
        const DoraNode node = init_dora_node();
        unsigned heard = 0;
        for (auto event = node.events->next(); event_type(event) != DoraEventType::AllInputsClosed;
             event = node.events->next()) {
            switch (event_type(event)) {
            case DoraEventType::Input:
                std::cout << "heard on " << event_id(event) << ": " << event_text(event) << std::endl;
                heard++;
                break;
            case DoraEventType::InputClosed:
                std::cout << event_id(event) << " is silent now" << std::endl;
                break;
            case DoraEventType::Stop:
                break;
            default:
                std::cerr << "unexpected event of type " << static_cast<int>(event_type(event)) << "\n";
            }
        }
        std::cout << "heard " << heard << " sentences\n";
    } catch (const std::exception &error) {
        std::cerr << error.what() << "\n";
        return 1;
    }
}
