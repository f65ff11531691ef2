/* A plane for benchmarks: answers every HTTP/1.1 request with one small JSON document, a payment
 * with one that names a transaction: what a gateway reads in it must be a success.
 *
 *   cc -O2 -o upstream upstream.c && ./upstream PORT
 *
 * One thread, epoll, keep-alive. It finds the end of a request by Content-Length (chunked bodies
 * are refused, so that no request is ever counted twice). The header `x-agent-api-key` is not
 * looked at. SIGUSR1 prints "TOTAL LAST_NS" : requests so far, and CLOCK_MONOTONIC of the last.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CONNS 8192
#define BUF 131072

struct conn { char *buf; int used; };
static struct conn conns[CONNS];
static volatile sig_atomic_t asked;
static unsigned long long total, last_ns;
static char answers[2][1024]; /* of an analysis, of a payment */
static int answer_lens[2];

static void on_usr1(int n) { (void)n; asked = 1; }

static void drop(int fd) {
  free(conns[fd].buf);
  conns[fd].buf = NULL;
  conns[fd].used = 0;
  close(fd);
}

/* Bytes of the first whole request in buf, 0 if it is not whole yet, -1 if it cannot be read. */
static int request_len(const char *buf, int used) {
  const char *end = memmem(buf, used, "\r\n\r\n", 4);
  if (!end) return used >= BUF - 1 ? -1 : 0;
  int head = (int)(end - buf) + 4;
  long body = 0;
  for (const char *line = buf; line && line < end;) {
    if (!strncasecmp(line, "content-length:", 15)) body = strtol(line + 15, NULL, 10);
    if (!strncasecmp(line, "transfer-encoding:", 18)) return -1;
    line = memmem(line, end - line, "\r\n", 2);
    if (line) line += 2;
  }
  if (body < 0 || head + body >= BUF) return -1;
  return head + body <= used ? (int)(head + body) : 0;
}

static void serve(int fd) {
  struct conn *c = &conns[fd];
  int n = (int)read(fd, c->buf + c->used, BUF - 1 - c->used);
  if (n <= 0) {
    if (n == 0 || (errno != EAGAIN && errno != EINTR)) drop(fd);
    return;
  }
  c->used += n;
  int len;
  while ((len = request_len(c->buf, c->used)) > 0) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    total++;
    last_ns = now.tv_sec * 1000000000ull + now.tv_nsec;
    int pays = memmem(c->buf, len, "\"@gitsplits pay ", 16) != NULL;
    if (write(fd, answers[pays], answer_lens[pays]) != answer_lens[pays]) { drop(fd); return; }
    memmove(c->buf, c->buf + len, c->used - len);
    c->used -= len;
  }
  if (len < 0) drop(fd);
}

int main(int argc, char **argv) {
  if (argc < 2) return 2;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  signal(SIGUSR1, on_usr1);
  signal(SIGPIPE, SIG_IGN);
  const char *analysis = "{\"response\":\"\\ud83d\\udcca Analysis for github.com/near/near-sdk-rs\\n"
    "Total commits: 1234\\nContributors: 56\\nTop contributors:\\n1. alice: 400 commits (32%)\\n"
    "2. bob: 300 commits (24%)\\n3. carol: 200 commits (16%)\\n4. dave: 100 commits (8%)\\n"
    "Verification coverage (top 4): 3/4 verified\"}";
  const char *payment = "{\"response\":\"\\u2705 Distributed 1 USDC to 4 contributors!\\n"
    "1. alice: 0.40 USDC\\n2. bob: 0.30 USDC\\n3. carol: 0.20 USDC\\n4. dave: 0.10 USDC\\n"
    "\\ud83d\\udd17 Transaction: 9xPdQtoMHFSHyzd1RUpBbYvpzZ4bFxXuT1bTqHnA4xEr\"}";
  const char *texts[2] = {analysis, payment};
  for (int i = 0; i < 2; i++)
    answer_lens[i] = snprintf(answers[i], sizeof answers[i], "HTTP/1.1 200 OK\r\n"
      "content-type: application/json\r\ncontent-length: %zu\r\n\r\n%s",
      strlen(texts[i]), texts[i]);
  int one = 1, lfd = socket(AF_INET, SOCK_STREAM, 0);
  setsockopt(lfd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(atoi(argv[1])),
                           .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  if (bind(lfd, (struct sockaddr *)&at, sizeof at) || listen(lfd, 1024)) { perror("bind"); return 1; }
  socklen_t size = sizeof at;
  getsockname(lfd, (struct sockaddr *)&at, &size);
  printf("%d\n", ntohs(at.sin_port));
  fflush(stdout);
  fcntl(lfd, F_SETFL, O_NONBLOCK);
  int ep = epoll_create1(0);
  struct epoll_event ev = {.events = EPOLLIN, .data.fd = lfd}, evs[256];
  epoll_ctl(ep, EPOLL_CTL_ADD, lfd, &ev);
  for (;;) {
    int n = epoll_wait(ep, evs, 256, -1);
    if (asked) {
      asked = 0;
      printf("%llu %llu\n", total, last_ns);
      fflush(stdout);
    }
    for (int i = 0; i < n; i++) {
      int fd = evs[i].data.fd;
      if (fd != lfd) { serve(fd); continue; }
      int c = accept4(lfd, NULL, NULL, SOCK_NONBLOCK);
      if (c < 0) continue;
      if (c >= CONNS || !(conns[c].buf = malloc(BUF))) { close(c); continue; }
      setsockopt(c, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
      ev.events = EPOLLIN;
      ev.data.fd = c;
      epoll_ctl(ep, EPOLL_CTL_ADD, c, &ev);
    }
  }
}
