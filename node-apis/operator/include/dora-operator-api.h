// The C++ operator API under the name that programs for dora 1.1.0 include.
#ifndef DORA_DORA_OPERATOR_API_H
#define DORA_DORA_OPERATOR_API_H

#include "operator_api.hpp"

#endif // DORA_DORA_OPERATOR_API_H
