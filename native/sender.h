// The thread that makes the system calls by which the kernel sends in copy mode.
#pragma once
#include <condition_variable>
#include <mutex>

namespace xsiftr {

class Queue;

// One a process. In copy mode the kernel does the whole transmission inside the call, and a full batch takes longer to send than
// to make: a queue that has much to send gives the calls to this thread and makes the next batch meanwhile. It serves one queue
// at a time; the others make their calls themselves, so that nobody waits for it.
class Sender {
 public:
  // Started at the first call and never ended: at exit the kernel takes everything back.
  static Sender& Get();

  // Has `queue->Send()` called on the thread; false when it is at work already.
  bool Take(Queue* queue);

 private:
  Sender();
  void Run();

  std::mutex lock_;
  std::condition_variable ready_;
  Queue* job_ = nullptr;
};

}  // namespace xsiftr
