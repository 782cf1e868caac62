// Exports the operator of `operator.h`. Compile it along with the operator's own files.
#include "operator_api.hpp"

#include "operator.h"

DORA_EXPORT_OPERATOR();
