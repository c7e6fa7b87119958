-- What all scripts share; put in front of each when they are compiled in. Every script gets all keys
-- in this order, so that none touches a key it did not declare, and the queue's cluster slot is theirs.
--
-- A script that is refused a command half way keeps what it has done: what a job is taken out of comes
-- after what it is put into, so that it is then in two places rather than in none.
local queue = KEYS[1]    -- list: the platform's elements, in its format
local workers = KEYS[2]  -- zset: lease id of a worker -> end of its lease; reap removes who is late
local own = KEYS[3]      -- hash: deployment -> "lease id service" of who builds it
local pay = KEYS[4]      -- hash: deployment -> its element, while it is built
local att = KEYS[5]      -- hash: deployment -> attempts begun
local svc = KEYS[6]      -- hash: service -> the deployment that is built
local wait = KEYS[7]     -- hash: service -> element of the newest job, waiting for the one in svc to end
local newer = KEYS[8]    -- hash: deployment -> the newer one that supersedes it
local tomb = KEYS[9]     -- zset: cancelled deployment -> end of our memory of it
local fin = KEYS[10]     -- hash: ended deployment -> its status
local seen = KEYS[11]    -- zset: ended deployment -> end of our memory of it
local out = KEYS[12]     -- hash: deployment -> "sender time entry": a final status not yet delivered
local dead = KEYS[13]    -- list: what was dropped and why; never its content
local stage = KEYS[14]   -- hash: deployment -> how far its attempts have come, until it has ended
local times = KEYS[15]   -- hash: service -> what its deployments remember of its files' times
local unused = KEYS[16]  -- zset: service -> end of our memory of its times
local about = KEYS[17]   -- hash: lease id of a worker -> "time entry": who it is and what it does, for people
local pause = KEYS[18]   -- hash: name of a worker, or `*` -> entry: who asked it to take no jobs, and why
local whose = KEYS[19]   -- hash: deployment -> whose it is, while it is built; PASSED -> how often `take` left the first
local turn = KEYS[20]    -- zset: owner of jobs -> number of the take that was its last

-- A Redis that comes back with an old state has elements in its queue that were taken long ago.
local KEEP_ENDED = 180 * 24 * 3600 * 1000
local MOST_ENDED = 100000
local KEEP_UNDELIVERED = 7 * 24 * 3600 * 1000
local LINE = ':line'  -- Field of `whose`: what `take` knows of the first elements, until one comes in front of them
local KEEP_TIMES = 180 * 24 * 3600 * 1000
local LARGEST = 1048576
local NOBODY = '-'
local BY_USER = '{"status":"CANCELLED","reason":"user"}'
local BY_NEWER = '{"status":"CANCELLED","reason":"superseded"}'
local NO_MORE_ATTEMPTS = '{"status":"FAILED","reason":"attempts"}'

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

-- The first write of every script: one that Redis allows when it is out of memory. After it the
-- others are allowed as well, so that jobs can end when there is no room left for new ones.
redis.call('ZREMRANGEBYSCORE', tomb, '-inf', now)

local function is_worker(lease_id)
  return redis.call('ZSCORE', workers, lease_id) ~= false
end

-- Lease id and service of who builds a deployment.
local function owner(id)
  local value = redis.call('HGET', own, id)
  if value then
    return string.match(value, '^(%S+) (.*)$')
  end
end

-- Sender, time and entry of a final status that is not delivered yet.
local function outgoing(id)
  local value = redis.call('HGET', out, id)
  if value then
    return string.match(value, '^(%S+) (%d+) (.*)$')
  end
end

-- Who asked a worker of these names to take no jobs; empty: nobody. Only people write and delete it.
local function pause_of(first, second)
  for _, name in ipairs({ '*', first or '', second or '' }) do
    local told = redis.call('HGET', pause, name)
    if told then
      return told
    end
  end
  return ''
end

local function status_of(entry)
  return cjson.decode(entry)['status']
end

local function put_out(id, sender, since, entry)
  redis.call('HSET', fin, id, status_of(entry))
  redis.call('HSET', out, id, sender .. ' ' .. since .. ' ' .. entry)
end

-- The one way to an end: from here on the deployment has a status, which somebody will deliver.
local function conclude(id, sender, entry)
  put_out(id, sender, now, entry)
  redis.call('ZADD', seen, now + KEEP_ENDED, id)
  redis.call('HDEL', att, id)
  redis.call('HDEL', newer, id)
  redis.call('HDEL', stage, id)
end

-- Puts an element in front of all others.
local function put_first(payload)
  redis.call('HDEL', whose, LINE)
  redis.call('LPUSH', queue, payload)
end

-- Ends the ownership; the job that waited for this service goes to the head of the queue, where it was:
-- what is in it came later. In front of it goes what is given back, if anything is.
local function disown(id, service, returned)
  local builds = service ~= '' and redis.call('HGET', svc, service) == id
  local waiting = builds and redis.call('HGET', wait, service)
  if waiting then
    put_first(waiting)
    redis.call('HDEL', wait, service)
  end
  if returned then
    put_first(returned)
  end
  if builds then
    redis.call('HDEL', svc, service)
  end
  redis.call('HDEL', own, id)
  redis.call('HDEL', pay, id)
end

-- Id and service of an element; the id is nil when it is no job.
local function read(payload)
  local ok, job = pcall(cjson.decode, payload)
  if not ok or type(job) ~= 'table' then
    return nil
  end
  local id, service = job['deploymentId'], job['serviceId']
  if type(id) ~= 'string' or #id > 128 or not string.match(id, '^[A-Za-z0-9][A-Za-z0-9_-]*$') then
    return nil
  end
  if type(service) ~= 'string' or #service > 128 then
    service = ''
  end
  return id, service
end

-- Remembers that something was dropped: which and why, but nothing of what it held.
local function bury(reason, id, payload)
  redis.call('LPUSH', dead, cjson.encode({
    reason = reason, id = id, length = #payload, sha1 = redis.sha1hex(payload), time = now }))
  redis.call('LTRIM', dead, 0, 999)
end

-- While a deployment of its service is built, the newest job of the service waits beside the queue
-- and supersedes both the one that is built and the one that waited before it. True when the latter
-- ended by that.
local function let_wait(id, service, payload, running)
  local before = redis.call('HGET', wait, service)
  if before then
    local before_id = read(before)
    if before_id == id then
      return false
    end
    conclude(before_id, NOBODY, BY_NEWER)
  end
  redis.call('HSET', wait, service, payload)
  redis.call('HSET', newer, running, id)
  return before ~= false
end

-- What a worker builds, and what it delivers.
local function all_of(lease_id)
  local found = {}
  for _, key in ipairs({ own, out }) do
    local held = redis.call('HGETALL', key)
    for i = 1, #held, 2 do
      if string.match(held[i + 1], '^%S+') == lease_id then
        found[#found + 1] = held[i]
      end
    end
  end
  return found
end

-- What a worker must stop: id, reason, id, reason …
local function marks(lease_id)
  local found = {}
  for _, id in ipairs(all_of(lease_id)) do
    if redis.call('ZSCORE', tomb, id) then
      found[#found + 1] = id
      found[#found + 1] = 'user'
    elseif redis.call('HEXISTS', newer, id) == 1 then
      found[#found + 1] = id
      found[#found + 1] = 'superseded'
    end
  end
  return found
end

-- Takes everything away from a worker: its jobs go back to the head of the queue, its undelivered
-- statuses are free for others, and nothing it still sends is accepted.
local function retire(lease_id)
  local count = 0
  local owned = redis.call('HGETALL', own)
  for i = #owned - 1, 1, -2 do  -- Backwards: a small hash keeps its order, the first taken is first again.
    local id = owned[i]
    local who, service = string.match(owned[i + 1], '^(%S+) (.*)$')
    if who == lease_id then
      local payload = redis.call('HGET', pay, id)  -- None when Redis evicted it.
      disown(id, service, payload)
      count = count + (payload and 1 or 0)
    end
  end
  redis.call('HDEL', about, lease_id)
  redis.call('ZREM', workers, lease_id)
  return count
end
