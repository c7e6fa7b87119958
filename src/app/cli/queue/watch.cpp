#include "app/cli/queue/watch.hpp"

#include "app/cli/queue/access.hpp"
#include "base/stop.hpp"
#include "domain/operator_line.hpp"

#include <fmt/core.h>

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

namespace builder::app::cli {

namespace {

constexpr std::chrono::seconds k_interval{1};

std::size_t rows_of(int descriptor) {
  winsize size{};
  return ::ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 ? size.ws_row : 24;
}

bool print(const std::string& text) {
  return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() &&
         std::fflush(stdout) == 0;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  for (std::size_t start = 0; start < text.size();) {
    const std::size_t end = std::min(text.find('\n', start), text.size());
    lines.push_back(text.substr(start, end - start));
    start = end + 1;
  }
  return lines;
}

}  // namespace

bool can_redraw(int descriptor) {
  const char* kind = std::getenv("TERM");
  return ::isatty(descriptor) == 1 && kind != nullptr && std::string_view(kind) != "dumb" &&
         *kind != '\0';
}

std::string Redrawing::draw(const std::string& text, std::size_t columns, std::size_t rows) {
  std::vector<std::string> lines = lines_of(text);
  // The cursor stands below the picture: one row less.
  const std::size_t room = std::max<std::size_t>(rows, 3) - 1;
  if (lines.size() > room) {
    const std::size_t hidden = lines.size() - room + 1;
    lines.resize(room - 1);
    lines.push_back(fmt::format("… {} more rows", hidden));
  }
  std::string out;
  if (columns_ != 0 && columns != columns_) {
    out += "\x1b[H\x1b[2J";  // What was drawn may stand on other rows now.
  } else if (drawn_ > 0) {
    out += fmt::format("\x1b[{}F", drawn_);
  }
  for (const std::string& line : lines) {
    out += fitted(line, columns) + "\x1b[K\n";
  }
  drawn_ = lines.size();
  columns_ = columns;
  return out + "\x1b[J";
}

Exit redraw(const std::stop_token& stop,
            const std::function<Result<std::string>(const Terminal&)>& look) {
  Redrawing screen;
  std::string last;
  do {
    const Terminal terminal = terminal_of(STDOUT_FILENO);
    const auto picture = look(terminal);
    if (stop.stop_requested()) {
      break;
    }
    if (!picture && last.empty()) {
      return failed(picture.error());
    }
    std::string text = last;
    if (picture) {
      text = last = *picture;
    } else {
      text += "\n" +
              styled(terminal, Style::bad,
                     fitted("not up to date: " + domain::operator_line(picture.error()),
                            terminal.columns)) +
              "\n";
    }
    if (!print(screen.draw(text, terminal.columns, rows_of(STDOUT_FILENO)))) {
      return Exit::failed;
    }
  } while (sleep_for(k_interval, stop));
  return Exit::aborted;
}

Exit repeat_lines(const std::stop_token& stop, const std::function<Result<std::string>()>& look) {
  do {
    const auto line = look();
    if (stop.stop_requested()) {
      break;
    }
    if (!line) {
      return failed(line.error());
    }
    if (!print(*line)) {
      return Exit::ok;  // The reader has seen enough.
    }
  } while (sleep_for(k_interval, stop));
  return Exit::aborted;
}

}  // namespace builder::app::cli
