// Every message between the three actors. A frame on the wire is one vector of messages: whatever one step of the sender
// produced for that peer.
#pragma once

#include "common/client_messages.h"
#include "common/value_messages.h"
#include "common/worker_messages.h"
