// The dora node API for C++17 and newer. Header only, on the C API: link with dora_node_api_c.
//
//     #include "dora-node-api.h"
//
//     int main() {
//         DoraNode node = init_dora_node();
//         for (;;) {
//             auto event = node.events->next();
//             switch (event_type(event)) {
//             case DoraEventType::Input: {
//                 DoraInput input = event_as_input(std::move(event));
//                 send_output(node.send_output, "copy", rust::Slice<const uint8_t>(input.data));
//                 break;
//             }
//             case DoraEventType::AllInputsClosed: return 0;
//             default: break;
//             }
//         }
//     }
//
// The names are those of the reference. Functions that return something with an `error` in it leave it empty when they
// worked; the others throw rust::Error. `events` and `send_output` may be used by a thread each.
//
// Everything lives in the namespace `dora` and is also there without it; define DORA_NO_GLOBAL_NAMES to keep it in the
// namespace, and DORA_NO_RUST_NAMES to have no namespace `rust`. `dora-arrow.h` adds the classes of the Arrow C++ library.
#ifndef DORA_NODE_API_CXX_H
#define DORA_NODE_API_CXX_H

#include "dora/arrow_pair.h"
#include "dora/merge.h"
#include "dora/pattern.h"

#ifndef DORA_NO_GLOBAL_NAMES
using dora::ArrowInputInfo;
using dora::CombinedEvent;
using dora::CombinedEvents;
using dora::DoraEvent;
using dora::DoraEventType;
using dora::DoraInput;
using dora::DoraInputWithMetadata;
using dora::DoraNode;
using dora::DoraNodeFailed;
using dora::DoraPatternResult;
using dora::DoraPatternStatus;
using dora::DoraRequestId;
using dora::DoraResult;
using dora::DrainedEvents;
using dora::Events;
using dora::Metadata;
using dora::MetadataValueType;
using dora::OutputSender;

using dora::close_outputs;
using dora::dataflow_descriptor_json;
using dora::dora_events_into_combined;
using dora::downcast_dora;
using dora::drain_events;
using dora::drained_events_len;
using dora::drained_events_next;
using dora::empty_combined_events;
using dora::event_as_arrow_input;
using dora::event_as_arrow_input_with_info;
using dora::event_as_input;
using dora::event_as_input_with_metadata;
using dora::event_as_node_failed;
using dora::event_bytes;
using dora::event_error;
using dora::event_id;
using dora::event_metadata;
using dora::event_text;
using dora::event_type;
using dora::event_values;
using dora::events_is_empty;
using dora::goal_status_aborted;
using dora::goal_status_canceled;
using dora::goal_status_succeeded;
using dora::init_dora_node;
using dora::loan_output;
using dora::log_message;
using dora::new_goal_id;
using dora::new_metadata;
using dora::new_request_id;
using dora::next_event;
using dora::next_event_timeout;
using dora::node_config_json;
using dora::recv_action_result;
using dora::recv_service_response;
using dora::send_arrow_output;
using dora::send_arrow_output_with_metadata;
using dora::send_arrow_service_request;
using dora::send_output;
using dora::send_output_with_metadata;
using dora::send_service_request;
using dora::send_service_response;
using dora::send_text;
using dora::send_values;
using dora::try_next_event;
#endif

#endif // DORA_NODE_API_CXX_H
