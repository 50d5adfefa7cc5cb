-- Sends the bytes of the file named after "--" unchanged, and prints what was seen as one line of JSON.
local wanted

function init(args)
   local file = assert(io.open(args[1], "rb"))
   wanted = file:read("*a")
   file:close()
end

-- wrk calls this once, after init, and sends its answer again and again without coming back to Lua.
wrk.format = function()
   return wanted
end

function done(summary, latency)
   local errors = summary.errors
   print(string.format(
      '{"requests": %d, "seconds": %.6f, "errors": %d, "p50": %.6f, "p99": %.6f, "p999": %.6f}',
      summary.requests, summary.duration / 1e6,
      errors.connect + errors.read + errors.write + errors.status + errors.timeout,
      latency:percentile(50) / 1e6, latency:percentile(99) / 1e6, latency:percentile(99.9) / 1e6
   ))
end
