#include "poller.h"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>
#include <uv.h>

#include <cerrno>
#include <map>
#include <vector>

#include "clock.h"
#include "errors.h"
#include "registry.h"

namespace xsiftr {
namespace {

enum Wake : uint32_t { kWakeRx = 1, kWakeEvent = 2, kWakeTimer = 4 };

// An epoll set of its own holds all descriptors, so the event loop sees one and a stopped poll costs the loop nothing.
class Poll {
 public:
  Poll(napi_env env, uv_loop_t* loop, int event_fd, double* page) : env_(env), event_fd_(event_fd), page_(page) {
    epoll_fd_ = epoll_create1(EPOLL_CLOEXEC);
    timer_fd_ = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (epoll_fd_ < 0 || timer_fd_ < 0) Fail("epoll_create1");
    Watch(timer_fd_, kWakeTimer);
    if (event_fd_ >= 0) Watch(event_fd_, kWakeEvent);
    int error = -uv_poll_init(loop, &handle_, epoll_fd_);
    if (error != 0) {
      errno = error;
      Fail("uv_poll_init");
    }
    handle_.data = this;
  }

  void Watch(int fd, Wake what) {
    epoll_event event = {};
    event.events = EPOLLIN;
    event.data.u32 = what;
    if (epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) != 0) {
      if (handle_.data == nullptr) Fail("epoll_ctl");
      throw SystemError(errno, "epoll_ctl", "cannot watch a socket: " + ErrnoText(errno));
    }
  }

  // Keeps the callback and the page alive, and the poll itself until the event loop has let go of it.
  void Hold(napi_value callback, napi_value page) {
    napi_create_reference(env_, callback, 1, &callback_);
    napi_create_reference(env_, page, 1, &page_ref_);
    napi_add_async_cleanup_hook(env_, OnEnvironmentEnd, this, &hook_);
  }

  // The sockets are in the set only while the loop sleeps: for a socket that somebody waits on, the kernel runs the waiter's
  // callback for every frame it receives, and for every frame sent in copy mode once more when its buffer is freed.
  void Start() {
    if (closing_ || started_) return;
    started_ = true;
    for (int fd : sockets_) Watch(fd, kWakeRx);
    uv_poll_start(&handle_, UV_READABLE, OnReadable);
  }
  void Stop() {
    if (closing_ || !started_) return;
    started_ = false;
    uv_poll_stop(&handle_);
    for (int fd : sockets_) epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, fd, nullptr);
  }

  void AddSocket(int fd) { sockets_.push_back(fd); }

  void Arm(double us) {
    itimerspec when = {};
    if (us >= 0) {
      // All zero would disarm.
      int64_t ns = us < 1 ? 1 : static_cast<int64_t>(us * 1000);
      when.it_value.tv_sec = ns / 1000000000;
      when.it_value.tv_nsec = ns % 1000000000;
    }
    timerfd_settime(timer_fd_, 0, &when, nullptr);
  }

  // Deletes this when the loop has closed the handle.
  void Close() {
    if (closing_) return;
    closing_ = true;
    if (callback_ != nullptr) napi_delete_reference(env_, callback_);
    if (page_ref_ != nullptr) napi_delete_reference(env_, page_ref_);
    uv_poll_stop(&handle_);
    uv_close(reinterpret_cast<uv_handle_t*>(&handle_), [](uv_handle_t* handle) {
      Poll* self = static_cast<Poll*>(handle->data);
      napi_async_cleanup_hook_handle hook = self->hook_;
      delete self;
      if (hook != nullptr) napi_remove_async_cleanup_hook(hook);
    });
  }

 private:
  ~Poll() { CloseFds(); }

  void CloseFds() {
    if (epoll_fd_ >= 0) close(epoll_fd_);
    if (timer_fd_ >= 0) close(timer_fd_);
  }

  [[noreturn]] void Fail(const char* syscall) {
    int error = errno;
    CloseFds();
    throw SystemError(error, syscall, "cannot make a poll: " + ErrnoText(error));
  }

  static void OnEnvironmentEnd(napi_async_cleanup_hook_handle, void* self) { static_cast<Poll*>(self)->Close(); }

  static void OnReadable(uv_poll_t* handle, int, int) { static_cast<Poll*>(handle->data)->Run(); }

  static void Drain(int fd) {
    uint64_t count;
    while (read(fd, &count, sizeof(count)) < 0 && errno == EINTR) {
    }
  }

  void Run() {
    epoll_event events[16];
    int n = epoll_wait(epoll_fd_, events, 16, 0);
    uint32_t mask = 0;
    for (int i = 0; i < n; i++) mask |= events[i].data.u32;
    if (mask == 0) return;
    if (mask & kWakeTimer) Drain(timer_fd_);
    if (mask & kWakeEvent) Drain(event_fd_);
    WriteClock(page_);
    napi_handle_scope scope;
    napi_open_handle_scope(env_, &scope);
    napi_value callback, receiver, argument;
    napi_get_reference_value(env_, callback_, &callback);
    napi_get_global(env_, &receiver);
    napi_create_uint32(env_, mask, &argument);
    if (napi_make_callback(env_, nullptr, receiver, callback, 1, &argument, nullptr) == napi_pending_exception) {
      napi_value error;
      napi_get_and_clear_last_exception(env_, &error);
      napi_fatal_exception(env_, error);
    }
    napi_close_handle_scope(env_, scope);
  }

  napi_env env_;
  uv_poll_t handle_ = {};
  int epoll_fd_ = -1;
  int timer_fd_ = -1;
  int event_fd_;
  double* page_;
  napi_ref callback_ = nullptr;
  napi_ref page_ref_ = nullptr;
  napi_async_cleanup_hook_handle hook_ = nullptr;
  std::vector<int> sockets_;
  bool started_ = false;
  bool closing_ = false;
};

// Polls by handle. A thread's polls are its own: nobody else knows their numbers.
thread_local std::map<int32_t, Poll*> polls;
thread_local int32_t next_poll = 1;

Poll* PollArgument(const Napi::CallbackInfo& info) {
  auto it = info[0].IsNumber() ? polls.find(info[0].As<Napi::Number>().Int32Value()) : polls.end();
  if (it == polls.end()) throw Napi::RangeError::New(info.Env(), "not an open poll of this thread");
  return it->second;
}

int FdArgument(const Napi::CallbackInfo& info, size_t index) {
  if (!info[index].IsNumber()) throw Napi::TypeError::New(info.Env(), "a file descriptor is expected");
  return info[index].As<Napi::Number>().Int32Value();
}

Napi::Value OpenPoll(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  if (!info[0].IsTypedArray() || info[0].As<Napi::TypedArray>().TypedArrayType() != napi_int32_array) {
    throw Napi::TypeError::New(env, "queues: an Int32Array is expected");
  }
  int event_fd = FdArgument(info, 1);
  if (!info[2].IsTypedArray() || info[2].As<Napi::TypedArray>().TypedArrayType() != napi_float64_array ||
      info[2].As<Napi::TypedArray>().ElementLength() < kClockWords) {
    throw Napi::TypeError::New(env, "page: a Float64Array of CLOCK_WORDS words is expected");
  }
  if (!info[3].IsFunction()) throw Napi::TypeError::New(env, "wake: a function is expected");
  Napi::Int32Array handles = info[0].As<Napi::Int32Array>();
  std::vector<Queue*> queues;
  for (size_t i = 0; i < handles.ElementLength(); i++) {
    Queue* queue = Registry::Get().Owned(env, handles[i]);
    if (queue == nullptr) throw Napi::RangeError::New(env, "queues: not an open queue of this thread");
    queues.push_back(queue);
  }
  uv_loop_t* loop = nullptr;
  napi_get_uv_event_loop(env, &loop);
  Poll* poll = nullptr;
  try {
    poll = new Poll(env, loop, event_fd, info[2].As<Napi::Float64Array>().Data());
    poll->Hold(info[3], info[2]);
    for (Queue* queue : queues) poll->AddSocket(queue->fd());
  } catch (const SystemError& error) {
    if (poll != nullptr) poll->Close();
    throw ToJs(env, error);
  }
  int32_t handle = next_poll++;
  polls[handle] = poll;
  return Napi::Number::New(env, handle);
}

void PollStart(const Napi::CallbackInfo& info) {
  try {
    PollArgument(info)->Start();
  } catch (const SystemError& error) {
    throw ToJs(info.Env(), error);
  }
}

void PollStop(const Napi::CallbackInfo& info) { PollArgument(info)->Stop(); }

void ArmTimer(const Napi::CallbackInfo& info) {
  Poll* poll = PollArgument(info);
  if (!info[1].IsNumber()) throw Napi::TypeError::New(info.Env(), "us: a number is expected");
  double us = info[1].As<Napi::Number>().DoubleValue();
  if (!(us <= 1e15)) throw Napi::RangeError::New(info.Env(), "us: at most 1e15 microseconds");
  poll->Arm(us);
}

void ClosePoll(const Napi::CallbackInfo& info) {
  if (!info[0].IsNumber()) throw Napi::TypeError::New(info.Env(), "a poll handle is expected");
  auto it = polls.find(info[0].As<Napi::Number>().Int32Value());
  if (it == polls.end()) return;
  it->second->Close();
  polls.erase(it);
}

Napi::Value EventFd(const Napi::CallbackInfo& info) {
  int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (fd < 0) throw ToJs(info.Env(), SystemError(errno, "eventfd", "cannot make an eventfd: " + ErrnoText(errno)));
  return Napi::Number::New(info.Env(), fd);
}

void Kick(const Napi::CallbackInfo& info) {
  uint64_t one = 1;
  // EAGAIN means that the counter is full, so the reader is woken anyway.
  if (write(FdArgument(info, 0), &one, sizeof(one)) < 0 && errno != EAGAIN) {
    throw ToJs(info.Env(), SystemError(errno, "write", "cannot kick an eventfd: " + ErrnoText(errno)));
  }
}

void CloseFd(const Napi::CallbackInfo& info) { close(FdArgument(info, 0)); }

}  // namespace

void InitPoll(Napi::Env env, Napi::Object exports) {
  exports.Set("openPoll", Napi::Function::New(env, OpenPoll, "openPoll"));
  exports.Set("pollStart", Napi::Function::New(env, PollStart, "pollStart"));
  exports.Set("pollStop", Napi::Function::New(env, PollStop, "pollStop"));
  exports.Set("armTimer", Napi::Function::New(env, ArmTimer, "armTimer"));
  exports.Set("closePoll", Napi::Function::New(env, ClosePoll, "closePoll"));
  exports.Set("eventfd", Napi::Function::New(env, EventFd, "eventfd"));
  exports.Set("kick", Napi::Function::New(env, Kick, "kick"));
  exports.Set("closeFd", Napi::Function::New(env, CloseFd, "closeFd"));
}

}  // namespace xsiftr
