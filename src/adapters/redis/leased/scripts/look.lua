-- ARGV: lease id, how many elements. For a worker whose slots are taken: a newer job of a service that it
-- builds supersedes what is built and all that waited before, now; itself it keeps its place in the queue,
-- so that no service gets ahead of others by being pushed often. Returns the ids it saw as well, and how
-- many jobs have ended.
local lease_id, limit = ARGV[1], tonumber(ARGV[2])
if not is_worker(lease_id) then
  return { 'LOST', {} }
end
local building = {}
local owned = redis.call('HGETALL', own)
for i = 1, #owned, 2 do
  local who, service = string.match(owned[i + 1], '^(%S+) (.*)$')
  if who == lease_id and service ~= '' then
    building[service] = owned[i]
  end
end
local newest = {}  -- Of each service, so far: id and element, which is in the queue.
local ids, ended = {}, 0

-- Ends what was built, and the newest that came before.
local function supersede(service, id, payload, running)
  local before = newest[service]
  local waiting = not before and redis.call('HGET', wait, service)
  local before_id = before and before[1] or waiting and read(waiting)
  if before_id == id then
    return
  end
  redis.call('HSET', newer, running, id)
  if before_id then
    conclude(before_id, NOBODY, BY_NEWER)
    ended = ended + 1
  end
  if before then
    redis.call('LREM', queue, 1, before[2])
  elseif waiting then
    redis.call('HDEL', wait, service)
  end
  newest[service] = { id, payload }
end

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
      supersede(service, id, payload, running)
    end
  end
end
return { 'OK', marks(lease_id), ids, ended }
