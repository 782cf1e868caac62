// The C++ node API with the classes of the Arrow C++ library, which has to be installed: link with it as well.
#ifndef DORA_ARROW_H
#define DORA_ARROW_H

#include <arrow/api.h>
#include <arrow/c/bridge.h>

#include "dora-node-api.h"

namespace dora {

/// The array of an input, in place: the memory is kept until the last copy of the pointer is gone.
inline arrow::Result<std::shared_ptr<arrow::Array>> event_as_arrow(Box<DoraEvent> event) {
    ArrowPair pair;
    const DoraResult result = event_as_arrow_input(std::move(event), &pair.array, &pair.schema);
    if (!result.error.empty()) {
        return arrow::Status::Invalid(result.error);
    }
    return arrow::ImportArray(&pair.array, &pair.schema);
}

namespace detail {

template <class F>
DoraResult exported(const arrow::Array &array, F send) {
    ArrowPair pair;
    const arrow::Status status = arrow::ExportArray(array, &pair.array, &pair.schema);
    return status.ok() ? send(pair) : DoraResult{status.ToString()};
}

} // namespace detail

/// Sends an array, copied once.
inline DoraResult send_arrow(const Box<OutputSender> &sender, Str id, const arrow::Array &array) {
    return detail::exported(array, [&](ArrowPair &pair) { return send_arrow_output(sender, id, pair); });
}

inline DoraResult send_arrow(const Box<OutputSender> &sender, Str id, const arrow::Array &array,
                             const Box<Metadata> &metadata) {
    return detail::exported(array, [&](ArrowPair &pair) { return send_arrow_output(sender, id, pair, metadata); });
}

} // namespace dora

#ifndef DORA_NO_GLOBAL_NAMES
using dora::event_as_arrow;
using dora::send_arrow;
#endif

#endif // DORA_ARROW_H
