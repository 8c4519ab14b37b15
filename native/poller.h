// The one poll of a worker thread: sockets, eventfd and timerfd behind one handle of its event loop.
#pragma once
#include <napi.h>

namespace xsiftr {

// openPoll, pollStart, pollStop, armTimer, closePoll, eventfd, kick, closeFd.
void InitPoll(Napi::Env env, Napi::Object exports);

}  // namespace xsiftr
