-- ARGV: lease id. Makes this worker the sender of one status that nobody delivers. Behind it: the
-- deployments whose status nobody could deliver for too long; the worker tells the operator.
local lease_id = ARGV[1]
if not is_worker(lease_id) then
  return { 'LOST' }
end
local given_up = {}
local undelivered = redis.call('HGETALL', out)
for i = 1, #undelivered, 2 do
  local id = undelivered[i]
  local sender, since, entry = string.match(undelivered[i + 1], '^(%S+) (%d+) (.*)$')
  if sender == NOBODY or not is_worker(sender) then
    if now - tonumber(since) > KEEP_UNDELIVERED then
      bury('undelivered', id, entry)
      redis.call('HDEL', out, id)
      given_up[#given_up + 1] = id
    else
      put_out(id, lease_id, since, entry)
      return { 'OUT', id, entry, given_up }
    end
  end
end
return { 'NONE', given_up }
