require "dotenv"
require "json"
print JSON.generate(Dotenv::Parser.call(File.open(ARGV[0], "rb:bom|utf-8", &:read)))
