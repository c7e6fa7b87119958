-- Every command that `take` and what follows it use, to no effect: what Redis refuses is found before a job
-- is touched. No deployment begins with a colon; should it end half way, `beat` clears the rest away.
local probe = ':probe'
redis.call('ZADD', seen, now, probe)
redis.call('HINCRBY', stage, probe, 1)
redis.call('HSET', stage, probe, '0')
redis.call('HGET', stage, probe)
redis.call('HEXISTS', stage, probe)
redis.call('HGETALL', own)
redis.call('HDEL', stage, probe)
redis.call('LREM', queue, 1, probe)
redis.call('LRANGE', queue, 0, 0)
redis.call('LPUSH', dead, probe)
redis.call('LPOP', dead)
redis.call('LTRIM', dead, 0, 999)
redis.call('ZSCORE', seen, probe)
redis.call('ZRANGEBYSCORE', seen, '-inf', '-inf')
redis.call('ZREMRANGEBYRANK', tomb, 0, -100001)
redis.call('ZREM', seen, probe)
return { 'OK' }
