# frozen_string_literal: true

# The jobs that sidekiq_test.rb and its server share.
require "sidekiq"
require "redis"

# Sidekiq's database is 0; what the jobs note is kept beside it.
def notes
  Redis.new(port: Integer(ENV.fetch("DARTER_PORT")), db: 2)
end

address = { url: "redis://127.0.0.1:#{ENV.fetch('DARTER_PORT')}/0" }
Sidekiq.configure_server do |config|
  config.redis = address
  # Fast enough for a test; everything else is as users have it.
  config.options[:poll_interval_average] = 1
end
Sidekiq.configure_client { |config| config.redis = address }

class Note
  include Sidekiq::Worker
  def perform(list, what)
    notes.rpush(list, what)
  end
end

class SucceedLater
  include Sidekiq::Worker
  sidekiq_options retry: 5
  def perform(key, attempts)
    count = notes.incr(key)
    raise "not yet" if count < attempts

    notes.rpush("#{key}:done", count)
  end
end

class Fail
  include Sidekiq::Worker
  sidekiq_options retry: 0
  def perform
    raise "on purpose"
  end
end

class Urgent
  include Sidekiq::Worker
  sidekiq_options queue: "urgent"
  def perform(list)
    notes.rpush(list, "urgent")
  end
end
