-- ARGV: epoch, how many elements. For a worker whose slots are taken: newer jobs of the services it
-- builds are taken aside, so that what they supersede ends now. Returns the ids it
-- saw as well, and how many jobs that waited before have ended.
local epoch, limit = ARGV[1], tonumber(ARGV[2])
if not is_worker(epoch) then
  return { 'LOST', {} }
end
local building = {}
local owned = redis.call('HGETALL', own)
for i = 1, #owned, 2 do
  local who, service = string.match(owned[i + 1], '^(%S+) (.*)$')
  if who == epoch and service ~= '' then
    building[service] = owned[i]
  end
end
local ids, ended = {}, 0
for _, payload in ipairs(redis.call('LRANGE', queue, 0, limit - 1)) do
  -- A cheap look first: decoding a thousand elements would hold up everybody else.
  ids[#ids + 1] = string.match(payload, '"deploymentId"%s*:%s*"([%w_-]+)"')
  local running = building[string.match(payload, '"serviceId"%s*:%s*"([%w._-]*)"') or '']
  if running and #payload <= LARGEST then
    local id, service = read(payload)
    -- What `take` would drop, end or hand out stays for `take`.
    if id and building[service] == running and not redis.call('ZSCORE', seen, id) and
        redis.call('HEXISTS', own, id) == 0 and not redis.call('ZSCORE', tomb, id) and
        redis.call('HEXISTS', newer, id) == 0 then
      redis.call('LREM', queue, 1, payload)
      if let_wait(id, service, payload, running) then
        ended = ended + 1
      end
    end
  end
end
return { 'OK', marks(epoch), ids, ended }
