-- For wrk: the image that is named first is sent again and again. The second argument is the mean pause before a
-- connection's next request, in milliseconds, drawn from an exponential distribution: requests then come at a rate.
function init(arguments)
  local file = assert(io.open(arguments[1], "rb"))
  wrk.method, wrk.body = "POST", file:read("*a")
  wrk.headers["Content-Type"] = "image/png"
  file:close()
  local pause = tonumber(arguments[2])
  if pause > 0 then
    function delay() return math.floor(-math.log(1 - math.random()) * pause + 0.5) end
  end
end

function done(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '{"rate": %.3f, "p50": %.6f, "p99": %.6f, "errors": %d}\n',
    summary.requests / summary.duration * 1e6,
    latency:percentile(50) / 1e6,
    latency:percentile(99) / 1e6,
    errors.connect + errors.read + errors.write + errors.status + errors.timeout
  ))
end
