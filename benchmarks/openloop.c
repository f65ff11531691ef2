/* Load at a fixed rate: a request is due when the clock says so, whether or not answers have come.
 *
 *   cc -O2 -o openloop openloop.c && ./openloop PORT KEY RATE SECONDS
 *
 * The requests are those of load.lua. Latency counts from the moment at which a request was due, so
 * a server that stalls is charged for everyone who had to wait. Prints one line as load.lua does:
 * RESULT requests microseconds errors p50_us p99_us. Requests that were due but could not be sent
 * because all connections were busy are sent as soon as one is free, with their waiting counted.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define CONNS 64
#define REQUESTS 4000
#define BUF 65536

struct conn { int fd, used; long long due; char buf[BUF]; };
static struct conn conns[CONNS];
static int idle[CONNS], idle_count;
static char *requests[REQUESTS];
static int lengths[REQUESTS];

static long long now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ll + t.tv_nsec;
}

static void make_requests(const char *key) {
  char pad[841], body[2048];
  memset(pad, 'x', 840);
  pad[840] = 0;
  srandom(7);
  for (int i = 0; i < REQUESTS; i++) {
    long draw = random() % 100;
    const char *verb = draw >= 95 ? "pay 1 USDC to" : draw >= 80 ? "create split for" : "analyze";
    int size = snprintf(body, sizeof body, "{\"text\":\"@gitsplits %s near/repository-%ld\","
      "\"author\":\"u%ld\",\"type\":\"web\",\"pad\":\"%s\"}",
      verb, random() % 1000, random() % 10000, pad);
    lengths[i] = asprintf(&requests[i], "POST /process HTTP/1.1\r\nHost: gateway\r\n"
      "content-type: application/json\r\nx-agent-api-key: %s\r\nContent-Length: %d\r\n\r\n%s",
      key, size, body);
  }
}

/* 1 when the answer is whole, 0 when more is to come, -1 when it cannot be read. */
static int whole(const char *buf, int used) {
  const char *end = memmem(buf, used, "\r\n\r\n", 4);
  if (!end) return 0;
  const char *line = strcasestr(buf, "\r\ncontent-length:");
  if (!line || line > end) return -1;
  long total = end + 4 - buf + strtol(line + 17, NULL, 10);
  return used < total ? 0 : used == total ? 1 : -1;
}

static int by_value(const void *a, const void *b) {
  return (*(const int *)a > *(const int *)b) - (*(const int *)a < *(const int *)b);
}

int main(int argc, char **argv) {
  if (argc != 5) return 2;
  long long rate = atoll(argv[3]), count = (long long)(rate * atof(argv[4]));
  int *micros = calloc(count, sizeof *micros), ep = epoll_create1(0), one = 1;
  make_requests(argv[2]);
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])),
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  for (int i = 0; i < CONNS; i++) {
    conns[i].fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(conns[i].fd, (struct sockaddr *)&at, sizeof at)) { perror("connect"); return 1; }
    setsockopt(conns[i].fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    struct epoll_event ev = {.events = EPOLLIN, .data.u32 = i};
    epoll_ctl(ep, EPOLL_CTL_ADD, conns[i].fd, &ev);
    idle[idle_count++] = i;
  }
  int timer = timerfd_create(CLOCK_MONOTONIC, 0);
  struct epoll_event ev = {.events = EPOLLIN, .data.u32 = CONNS}, evs[CONNS + 1];
  epoll_ctl(ep, EPOLL_CTL_ADD, timer, &ev);
  long long begin = now_ns() + 10000000, sent = 0, done = 0, errors = 0;
  while (done < count) {
    long long now = now_ns(), due = begin + sent * 1000000000ll / rate;
    if (now - begin > (count / rate + 10) * 1000000000ll) break; /* it cannot keep up at all */
    while (sent < count && idle_count && due <= now) {
      struct conn *c = &conns[idle[--idle_count]];
      c->due = due;
      c->used = 0;
      int n = sent++ % REQUESTS;
      if (write(c->fd, requests[n], lengths[n]) != lengths[n]) { perror("write"); return 1; }
      due = begin + sent * 1000000000ll / rate;
    }
    if (sent < count && idle_count) {
      struct itimerspec when = {.it_value = {due / 1000000000, due % 1000000000}};
      timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL);
    }
    int found = epoll_wait(ep, evs, CONNS + 1, 1000);
    for (int i = 0; i < found; i++) {
      if (evs[i].data.u32 == CONNS) { read(timer, &(long long){0}, 8); continue; }
      struct conn *c = &conns[evs[i].data.u32];
      int n = read(c->fd, c->buf + c->used, BUF - 1 - c->used);
      if (n > 0) c->buf[c->used += n] = 0;
      int state = n > 0 ? whole(c->buf, c->used) : -1;
      if (!state) continue;
      if (state < 0) { fprintf(stderr, "an answer could not be read\n"); return 1; }
      errors += strncmp(c->buf, "HTTP/1.1 200", 12) != 0;
      micros[done++] = (int)((now_ns() - c->due) / 1000);
      idle[idle_count++] = evs[i].data.u32;
    }
  }
  if (!done) return 1;
  long long took = (now_ns() - begin) / 1000;
  errors += count - done;
  qsort(micros, done, sizeof *micros, by_value);
  printf("RESULT %lld %lld %lld %d %d\n", done, took, errors, micros[done / 2], micros[done * 99 / 100]);
  return 0;
}
