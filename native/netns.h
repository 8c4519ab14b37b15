// The calling thread in another network namespace, for as long as the object lives.
#pragma once
#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "errors.h"

namespace xsiftr {

class NetnsScope {
 public:
  // An empty path stays where we are. Throws SystemError.
  explicit NetnsScope(const std::string& path) {
    if (path.empty()) return;
    int target = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (target < 0) Fail("open", path);
    home_ = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    int error = home_ < 0 || setns(target, CLONE_NEWNET) != 0 ? errno : 0;
    close(target);
    if (error != 0) {
      if (home_ >= 0) close(home_);
      errno = error;
      Fail("setns", path);
    }
  }
  ~NetnsScope() {
    if (home_ < 0) return;
    // The right to enter one namespace is the right to go back; a thread that could not must not go on in the wrong one.
    if (setns(home_, CLONE_NEWNET) != 0) abort();
    close(home_);
  }
  NetnsScope(const NetnsScope&) = delete;
  NetnsScope& operator=(const NetnsScope&) = delete;

 private:
  [[noreturn]] static void Fail(const char* syscall, const std::string& path) {
    int error = errno;
    throw SystemError(error, syscall, "cannot enter network namespace " + path + ": " + ErrnoText(error));
  }
  int home_ = -1;
};

}  // namespace xsiftr
