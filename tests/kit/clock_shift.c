// Preloaded: the time of day is ahead by as many seconds as the file says that CLOCK_SHIFT names.
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

int gettimeofday(struct timeval* restrict now, void* restrict zone) {
  (void)zone;
  struct timespec real;
  syscall(SYS_clock_gettime, CLOCK_REALTIME, &real);
  char text[32] = {0};
  const int file = open(getenv("CLOCK_SHIFT"), O_RDONLY | O_CLOEXEC);
  if (file >= 0) {
    const ssize_t size = read(file, text, sizeof text - 1);
    (void)size;
    close(file);
  }
  now->tv_sec = real.tv_sec + atol(text);
  now->tv_usec = real.tv_nsec / 1000;
  return 0;
}
