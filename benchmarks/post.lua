-- wrk script: send the method, body and `Connection` header that stand behind `--`, and print the
-- figures as one line of JSON.
function init(args)
  wrk.method = args[1]
  wrk.body = args[2]
  wrk.headers["Content-Type"] = "application/json"
  wrk.headers["Connection"] = args[3]
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    '\n{"requests": %d, "refused": %d, "seconds": %f, "unanswered": %d, "p50_ms": %f, "p99_ms": %f}\n',
    summary.requests, e.status, summary.duration / 1e6,
    e.connect + e.read + e.write + e.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
