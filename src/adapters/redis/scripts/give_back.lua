-- KEYS[1] own list, KEYS[2] queue; ARGV[1] payload.
-- Puts a job we own back to the head of the queue; nothing when we do not own it (any more).
if redis.call('LREM', KEYS[1], 1, ARGV[1]) > 0 then
  redis.call('LPUSH', KEYS[2], ARGV[1])
  return 1
end
return 0
