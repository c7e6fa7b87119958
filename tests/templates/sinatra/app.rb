require "sinatra/base"

class App < Sinatra::Base
  get("/") { "Hello from #{settings.environment}" }
end
