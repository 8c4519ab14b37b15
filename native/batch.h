#pragma once
#include <napi.h>

namespace xsiftr {

// receive, transmit, reclaim, txRoom, readClock.
void InitBatch(Napi::Env env, Napi::Object exports);

}  // namespace xsiftr
