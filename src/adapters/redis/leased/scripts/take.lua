-- ARGV: lease id, most attempts, the worker's two names.
-- The only way out of the queue: the first element becomes this worker's, or what it has to be. Should the
-- answer be lost, the next `beat` tells.
local lease_id, most = ARGV[1], tonumber(ARGV[2])
if not is_worker(lease_id) then
  return { 'LOST', {} }
end
local paused = pause_of(ARGV[3], ARGV[4])
if paused ~= '' then
  return { 'PAUSED', marks(lease_id), paused }
end
local payload = redis.call('LRANGE', queue, 0, 0)[1]
if not payload then
  return { 'EMPTY', marks(lease_id) }
end

-- Puts the element where it belongs.
local function place()
  local id, service
  if #payload <= LARGEST then
    id, service = read(payload)
  end
  if not id then
    bury(#payload > LARGEST and 'too large' or 'no job', nil, payload)
    return { 'AGAIN', marks(lease_id), 'malformed' }
  end
  if redis.call('ZSCORE', seen, id) or redis.call('HEXISTS', own, id) == 1 then
    return { 'AGAIN', marks(lease_id), 'duplicate' }
  end
  if redis.call('ZSCORE', tomb, id) then
    conclude(id, NOBODY, BY_USER)
    return { 'AGAIN', marks(lease_id), 'ended' }
  end
  if redis.call('HEXISTS', newer, id) == 1 then
    conclude(id, NOBODY, BY_NEWER)
    return { 'AGAIN', marks(lease_id), 'ended' }
  end
  if service ~= '' then
    local running = redis.call('HGET', svc, service)
    if running then
      local ended = let_wait(id, service, payload, running)
      return { 'AGAIN', marks(lease_id), ended and 'ended' or 'waits' }
    end
  end
  local attempt = redis.call('HINCRBY', att, id, 1)
  if attempt > most then
    conclude(id, NOBODY, NO_MORE_ATTEMPTS)
    return { 'AGAIN', marks(lease_id), 'ended' }
  end
  redis.call('HSET', own, id, lease_id .. ' ' .. service)
  redis.call('HSET', pay, id, payload)
  if service ~= '' then
    redis.call('HSET', svc, service, id)
  end
  return { 'JOB', marks(lease_id), id, attempt, payload, redis.call('HGET', stage, id) or '' }
end

local answer = place()
redis.call('LPOP', queue)
return answer
