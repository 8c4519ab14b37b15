// Failures inside the addon, thrown as C++ exceptions by set-up code and turned into JavaScript errors at its border.
#pragma once
#include <napi.h>

#include <stdexcept>
#include <string>

namespace xsiftr {

// A refusal of the system: `code` becomes the error's `code` ("EBUSY"), the text is a line for the user.
class SystemError : public std::runtime_error {
 public:
  SystemError(int error, std::string syscall, const std::string& text)
      : std::runtime_error(text), error(error), syscall(std::move(syscall)) {}
  const int error;
  const std::string syscall;
};

// "EBUSY" for EBUSY.
std::string ErrnoName(int error);

// "operation not permitted": the text that strerror has, without a trailing stop.
std::string ErrnoText(int error);

// The JavaScript Error for a SystemError: code, errno (positive), syscall.
Napi::Error ToJs(Napi::Env env, const SystemError& error);

}  // namespace xsiftr
