#include <stdint.h>
#include <stdio.h>

int64_t jam_time_of(uint64_t frame, double ppm);

int main(void) {
  int64_t found = jam_time_of(48000, 30.0);
  printf("%lld\n", (long long)found);
  return found == 1000030000 ? 0 : 1;
}
