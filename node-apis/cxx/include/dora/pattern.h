// Requests and goals.
#ifndef DORA_PATTERN_H
#define DORA_PATTERN_H

#include "dora/node.h"

namespace dora {

/// How waiting for a reply ended.
enum class DoraPatternStatus : std::uint8_t {
    Matched,
    Timeout,
    /// The server was restarted and has forgotten the request.
    ServerRestarted,
    StreamEnded,
    StreamError,
    InvalidArgument,
    /// The server failed for good, or closed the outputs that this node reads.
    ServerGone,
};

/// `event` is the reply when `status` is Matched, and of type Empty otherwise.
struct DoraPatternResult {
    DoraPatternStatus status;
    std::string error;
    Box<DoraEvent> event;
};

struct DoraRequestId {
    std::string request_id;
    std::string error;
};

inline std::string new_request_id() {
    char id[37];
    detail::check(dora_new_request_id(id));
    return id;
}
inline std::string new_goal_id() { return new_request_id(); }
inline std::string goal_status_succeeded() { return DORA_GOAL_STATUS_SUCCEEDED; }
inline std::string goal_status_aborted() { return DORA_GOAL_STATUS_ABORTED; }
inline std::string goal_status_canceled() { return DORA_GOAL_STATUS_CANCELED; }

namespace detail {

/// Gives the request a name and sends it.
template <class F>
DoraRequestId request(Box<Metadata> metadata, F send) {
    DoraRequestId request{new_request_id(), {}};
    metadata->set_request_id(request.request_id);
    request.error = send(metadata).error;
    if (!request.error.empty()) {
        request.request_id.clear();
    }
    return request;
}

inline DoraPatternStatus pattern_status(int status) {
    switch (status) {
    case DoraStatus_Ok: return DoraPatternStatus::Matched;
    case DoraStatus_Timeout: return DoraPatternStatus::Timeout;
    case DoraStatus_ServerRestarted: return DoraPatternStatus::ServerRestarted;
    case DoraStatus_ServerGone: return DoraPatternStatus::ServerGone;
    case DoraStatus_Closed: return DoraPatternStatus::StreamEnded;
    case DoraStatus_InvalidArgument: return DoraPatternStatus::InvalidArgument;
    default: return DoraPatternStatus::StreamError;
    }
}

template <class F>
DoraPatternResult reply(F wait, const Box<Events> &events, Str id, Str server, std::uint64_t timeout_ms) {
    void *event = nullptr;
    const int status = wait(events->handle(), id.data(), id.size(), server.data(), server.size(),
                            nanoseconds(timeout_ms), &event);
    return {pattern_status(status), error_of(status),
            Box<DoraEvent>(event != nullptr ? DoraEvent(event) : DoraEvent(DoraEventType::Empty))};
}

} // namespace detail

/// Sends a request under a new name, which the response will carry.
inline DoraRequestId send_service_request(const Box<OutputSender> &sender, Str id, Slice<const std::uint8_t> data,
                                          Box<Metadata> metadata) {
    return detail::request(std::move(metadata), [&](const Box<Metadata> &named) {
        return send_output_with_metadata(sender, id, data, named);
    });
}

inline DoraRequestId send_service_request(const Box<OutputSender> &sender, Str id, Slice<const std::uint8_t> data) {
    return send_service_request(sender, id, data, new_metadata());
}

inline DoraRequestId send_arrow_service_request(const Box<OutputSender> &sender, Str id, ArrowArray *array,
                                                ArrowSchema *schema, Box<Metadata> metadata) {
    return detail::request(std::move(metadata), [&](const Box<Metadata> &named) {
        return send_arrow_output(sender, id, array, schema, named);
    });
}

inline DoraRequestId send_arrow_service_request(const Box<OutputSender> &sender, Str id, std::uint8_t *array,
                                                std::uint8_t *schema, Box<Metadata> metadata) {
    return send_arrow_service_request(sender, id, reinterpret_cast<ArrowArray *>(array),
                                      reinterpret_cast<ArrowSchema *>(schema), std::move(metadata));
}

/// Sends the response to a request: pass on the metadata of the request, which names it.
inline DoraResult send_service_response(const Box<OutputSender> &sender, Str id, Slice<const std::uint8_t> data,
                                        const Box<Metadata> &metadata) {
    if (metadata->request_id().empty()) {
        return {"the response has no `request_id`, so nobody would know it: pass on the metadata of the request"};
    }
    return send_output_with_metadata(sender, id, data, metadata);
}

/// Waits for the response to a request. Everything else that happens meanwhile comes later, in order.
inline DoraPatternResult recv_service_response(const Box<Events> &events, Str request_id, Str server,
                                               std::uint64_t timeout_ms) {
    return detail::reply(dora_recv_service_response, events, request_id, server, timeout_ms);
}

/// Waits for the final result of a goal; feedback comes later, in order.
inline DoraPatternResult recv_action_result(const Box<Events> &events, Str goal_id, Str server,
                                            std::uint64_t timeout_ms) {
    return detail::reply(dora_recv_action_result, events, goal_id, server, timeout_ms);
}

} // namespace dora

#endif // DORA_PATTERN_H
