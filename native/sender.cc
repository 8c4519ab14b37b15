#include "sender.h"

#include <pthread.h>
#include <signal.h>

#include <thread>

#include "queue.h"

namespace xsiftr {

Sender& Sender::Get() {
  static Sender* sender = new Sender;
  return *sender;
}

// Signals are for Node's threads. Only those that the C library uses itself, to ask every thread for something, come through:
// sigfillset leaves them out.
Sender::Sender() {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread([this] { Run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  pthread_setname_np(thread.native_handle(), "xsk-sender");
  thread.detach();
}

bool Sender::Take(Queue* queue) {
  {
    std::unique_lock<std::mutex> lock(lock_, std::try_to_lock);
    if (!lock || job_ != nullptr) return false;
    job_ = queue;
  }
  ready_.notify_one();
  return true;
}

void Sender::Run() {
  std::unique_lock<std::mutex> lock(lock_);
  for (;;) {
    ready_.wait(lock, [this] { return job_ != nullptr; });
    Queue* queue = job_;
    lock.unlock();
    queue->Send();
    lock.lock();
    job_ = nullptr;
  }
}

}  // namespace xsiftr
