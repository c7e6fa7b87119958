-- KEYS[1] own list, KEYS[2] queue.
-- Puts everything we own back to the head of the queue, in its order; how many.
local count = 0
while count < 10000 and redis.call('LMOVE', KEYS[1], KEYS[2], 'RIGHT', 'LEFT') do
  count = count + 1
end
return count
